export default () => ({ y: );
